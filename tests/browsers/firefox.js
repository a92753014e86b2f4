// A Firefox for tests. Each line of input is a command and its arguments, each line of output the
// answer to one, { value } or { error }, all in JSON. Fails at the end on any complaint.
const puppeteer = require("puppeteer-core"); // NODE_PATH says where it is
const readline = require("node:readline");

async function main([executablePath, downloads]) {
  const extraPrefsFirefox = { "browser.download.folderList": 2, "browser.download.dir": downloads };
  const browser = await puppeteer.launch({ browser: "firefox", executablePath, extraPrefsFirefox });
  const page = await browser.newPage(), complaints = [];
  page.on("console", (said) => complaints.push(said.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  const commands = {
    goto: async (url) => void await page.goto(url),
    evaluate: (expression) => page.evaluate(expression),
    click: (selector) => page.click(selector),
    fill: (selector, text) => page.type(selector, text),
    choose: async (selector, paths) => (await page.$(selector)).uploadFile(...paths),
    drag: async (from, to) => {
      for (const [act, ...how] of [["move", ...from], ["down"], ["move", ...to], ["up"]]) {
        await page.mouse[act](...how);
      }
    },
  };
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [name, ...rest] = JSON.parse(line);
    const answer = commands[name](...rest);
    const said = await answer.then((value) => ({ value }), (error) => ({ error: String(error) }));
    console.log(JSON.stringify(said));
  }
  await browser.close();
  if (complaints.length) throw new Error(complaints.join("\n"));
}

main(process.argv.slice(2));
