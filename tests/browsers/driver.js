// A browser for tests: `node driver.js firefox|webkit FOLDER`, where FOLDER takes what it saves. Each
// line of input is a command and its arguments, each line of output the answer to one, { value } or
// { error }, all in JSON.
const { spawn } = require("node:child_process");
const { createInterface } = require("node:readline");
const { setTimeout: pause } = require("node:timers/promises");
const puppeteer = require("puppeteer-core"); // NODE_PATH says where it is

async function firefox(folder) {
  const browser = await puppeteer.launch({
    browser: "firefox", executablePath: "/usr/bin/firefox-esr",
    extraPrefsFirefox: { "browser.download.folderList": 2, "browser.download.dir": folder },
  });
  const page = await browser.newPage(), complaints = [];
  page.on("console", (said) => complaints.push(said.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("dialog", (asked) => asked.accept()); // what is not saved may go
  return {
    goto: async (url) => void await page.goto(url),
    evaluate: (expression) => page.evaluate(expression),
    click: (selector) => page.click(selector),
    fill: (selector, text) => page.locator(selector).fill(text),
    choose: async (selector, paths) => (await page.$(selector)).uploadFile(...paths),
    drag: async (from, to) => {
      for (const [act, ...how] of [["move", ...from], ["down"], ["move", ...to], ["up"]]) {
        await page.mouse[act](...how);
      }
    },
    close: async () => {
      await browser.close();
      if (complaints.length) throw new Error(complaints.join("\n"));
    },
  };
}

async function webkit(folder) {
  const port = 10000 + process.pid % 20000, env = { ...process.env, HOME: folder };
  const driver = spawn("WebKitWebDriver", [`--port=${port}`], { env, stdio: "ignore" });
  let address = `http://127.0.0.1:${port}/session`;
  const ask = async (path, command = {}) => {
    const answer = await fetch(address + path, { method: "POST", body: JSON.stringify(command) });
    const { value } = await answer.json();
    if (!answer.ok) throw new Error(value.error);
    return value;
  };
  const askOf = async (selector, command, content) => {
    const found = await ask("/element", { using: "css selector", value: selector });
    return ask(`/element/${Object.values(found)[0]}/${command}`, content);
  };
  while (!await fetch(address).catch(() => null)) await pause(50);
  address += `/${(await ask("", { capabilities: {} })).sessionId}`;
  return {
    goto: (url) => ask("/url", { url }),
    evaluate: (each) => ask("/execute/sync", { script: `return (${each})`, args: [] }),
    click: (selector) => askOf(selector, "click"),
    fill: async (selector, text) => {
      await askOf(selector, "clear");
      await askOf(selector, "value", { text });
    },
    choose: (selector, paths) => askOf(selector, "value", { text: paths.join("\n") }),
    drag: (...places) => {
      const [from, to] = places.map(([x, y]) => (
        { type: "pointerMove", x: Math.round(x), y: Math.round(y) }));
      const button = (type) => ({ type, button: 0 });
      const actions = [from, button("pointerDown"), to, button("pointerUp")];
      return ask("/actions", { actions: [{ type: "pointer", id: "mouse", actions }] });
    },
    close: async () => driver.kill(), // and with it the browser
  };
}

async function main([name, folder]) {
  const window = await { firefox, webkit }[name](folder);
  for await (const line of createInterface({ input: process.stdin })) {
    const [command, ...rest] = JSON.parse(line);
    const answer = await window[command](...rest)
      .then((value) => ({ value }), (error) => ({ error: String(error) }));
    console.log(JSON.stringify(answer));
  }
  await window.close();
}

main(process.argv.slice(2));
