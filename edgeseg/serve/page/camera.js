/* A live camera: frames are measured as they come, one at a time. */
import { grayOf } from "./decode.js";

/* Start the camera, or stop it if it runs; its last frame then stays as a result. */
export async function startCamera({ button, video, measureFrame, onFrame, onEnd, onError }) {
  if (video.srcObject) return stop(button, video);
  try {
    const wanted = { video: { facingMode: "environment" } };
    video.srcObject = await navigator.mediaDevices.getUserMedia(wanted);
    await video.play();
  } catch (error) {
    stop(button, video);
    onError(new Error(`the camera cannot be used: ${error.message}`));
    return;
  }
  button.textContent = "Stop";
  button.setAttribute("aria-pressed", "true");
  let last = null;
  try {
    while (video.srcObject) {
      const started = performance.now();
      const gray = grayOf(video);
      const decodeMs = performance.now() - started;
      last = { name: "camera", decodeMs, ...await measureFrame(gray) };
      if (video.srcObject) onFrame(last);
      await new Promise(requestAnimationFrame);
    }
  } catch (error) {
    onError(error);
  }
  stop(button, video);
  if (last) onEnd({ ...last, name: `camera ${new Date().toISOString().slice(0, 19).replaceAll(":", "")}` });
}

function stop(button, video) {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  button.textContent = "Camera";
  button.setAttribute("aria-pressed", "false");
}
