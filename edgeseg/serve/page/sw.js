/* Keeps the page's files, so that it works without a network after the first visit. site.py puts
   FILES and VERSION before this. */

const PREFIX = `edgeseg ${registration.scope} `;
const CACHE = PREFIX + VERSION;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) =>
    cache.addAll(FILES.map((file) => new Request(file, { cache: "reload" })))));
});

addEventListener("activate", (event) => {
  event.waitUntil(caches.keys().then((names) => Promise.all(
    names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)),
  )));
});

addEventListener("fetch", (event) => {
  const { request } = event, url = new URL(request.url);
  if (request.method !== "GET" || !request.url.startsWith(registration.scope)) return;
  const file = url.pathname.endsWith("/") ? new URL("index.html", url).href : request;
  event.respondWith(caches.open(CACHE)
    .then((cache) => cache.match(file, { ignoreSearch: true }))
    .then((kept) => kept ?? fetch(request)));
});
