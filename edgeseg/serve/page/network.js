/* The model in onnxruntime-web: WebAssembly, one thread. */
import * as ort from "./vendor/ort.wasm.bundle.min.mjs";

/* Open a model's bytes; `wasm` are those of the engine, so that it looks for none itself. */
export async function openNetwork(modelBytes, wasm, { input_width: width, input_height: height }) {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.proxy = false;
  ort.env.wasm.wasmBinary = wasm;
  const session = await ort.InferenceSession.create(modelBytes, { executionProviders: ["wasm"] });
  return {
    /* Answer for gray bytes of the model's size: { values: Float32Array, presence or null }. */
    async run(pixels) {
      const tensor = new ort.Tensor("uint8", pixels, [1, 1, height, width]);
      const answers = await session.run({ [session.inputNames[0]]: tensor });
      const { probability, presence } = answers;
      const map = probability ?? answers[session.outputNames[0]];
      return { values: map.data, presence: presence ? presence.data[0] : null };
    },
  };
}

/* Fetch the engine, which is packed so that any host sends it small. */
export async function fetchPacked(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} cannot be fetched (${response.status})`);
  const unpacked = response.body.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}
