/* The model in onnxruntime-web: WebAssembly, one thread. */
import * as ort from "./vendor/ort.wasm.bundle.min.mjs";

const ROUNDING = 1e-3; // of half-precision networks

/* Open a model from its bytes; `wasm` holds those of the engine, which it would fetch otherwise. */
export async function openNetwork(modelBytes, wasm, model) {
  const { input_width: width, input_height: height, structures } = model;
  Object.assign(ort.env.wasm, { numThreads: 1, proxy: false, wasmBinary: wasm });
  const session = await ort.InferenceSession.create(modelBytes, { executionProviders: ["wasm"] });
  return {
    /* Answer for gray bytes of the model's size: { maps: a Float32Array each, presence or null }. */
    async run(pixels) {
      const tensor = new ort.Tensor("uint8", pixels, [1, 1, height, width]);
      const answers = await session.run({ [session.inputNames[0]]: tensor });
      const values = (answers.probability ?? answers[session.outputNames[0]]).data;
      const presence = answers.presence ? answers.presence.data[0] : null;
      const size = width * height, expected = size * structures.length;
      if (values.length !== expected) {
        throw new Error(`the model answers with ${values.length} values, not ${expected}`);
      }
      // as edgeseg/network/answers.py; NaN is no probability either
      const isWrong = (value) => !(value >= -ROUNDING && value <= 1 + ROUNDING);
      if (values.some(isWrong) || (presence !== null && isWrong(presence))) {
        throw new Error("the model's answers are not probabilities from 0 to 1");
      }
      return { maps: structures.map((_, i) => values.subarray(i * size, (i + 1) * size)), presence };
    },
  };
}

export async function fetchChecked(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} cannot be fetched (${response.status})`);
  return response;
}

/* Fetch the engine, which is compressed for hosts that do not compress it. */
export async function fetchPacked(url) {
  const { body } = await fetchChecked(url);
  const unpacked = body.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(unpacked).arrayBuffer());
}
