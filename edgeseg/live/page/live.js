// Writes beside the live picture what is measured in it, and keeps a frame on request.

const PAUSE_MS = 150;
const at = (id) => document.getElementById(id);

function put(node, text, kind = "") {
  if (node.textContent !== text) node.textContent = text;
  node.className = kind;
}

function list(node, rows, tags) {
  node.replaceChildren(...rows.flatMap((texts) => tags.map((tag, i) => {
    const item = document.createElement(tag);
    item.textContent = texts[i];
    return item;
  })));
}

function show(state) {
  put(at("state"), state.trouble || "Live", state.trouble ? "wrong" : "ok");
  put(at("figure"), state.median ? `${state.title} ${state.median}` : "–");
  const half = state.median ? `middle half ${state.low} to ${state.high}, ` : "";
  put(at("spread"), `${half}${state.n_steady} sure frames in the last ${state.window_s} s`, "hint");
  put(at("verdict"), state.reason || state.status, state.status);
  list(at("doubts"), state.doubts.map((text) => [text]), ["li"]);
  list(at("figures"), state.figures.filter((pair) => pair[1]), ["dt", "dd"]);
}

async function follow() {
  for (;;) {
    try {
      const state = await (await fetch("state")).json();
      if (state.number) show(state);
    } catch {
      put(at("state"), "edgeseg has ended", "wrong");
    }
    await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
}

async function freeze() {
  const item = document.createElement("li");
  try {
    const answer = await (await fetch("freeze", { method: "POST" })).json();
    put(item, answer.error ?? `kept: ${answer.file}`, answer.error ? "failed" : "");
  } catch {
    put(item, "not kept: edgeseg has ended", "failed");
  }
  at("measured").prepend(item);
}

at("freeze").addEventListener("click", freeze);
addEventListener("keydown", (event) => {
  if (event.key !== " " || event.repeat || event.target === at("freeze")) return;
  event.preventDefault();
  freeze();
});
addEventListener("load", () => { at("picture").src = "picture"; }); // it never ends
follow();
