// The camera, where there is one and the page may use it (on localhost, or over HTTPS).

const byId = (id) => document.getElementById(id);
const REFUSED = {
  NotAllowedError: "The browser does not let this page use the camera. "
    + "Allow it beside the address, and try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera is in use by another program. Close it there, and try again.",
};

let stream = null;

function close() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  byId("video").srcObject = null;
  byId("camera").hidden = true;
}

async function open() {
  close();
  // The camera on the back of a phone.
  const video = { facingMode: { ideal: "environment" } };
  stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
  byId("video").srcObject = stream;
  byId("camera").hidden = false;
  byId("take-picture").focus();
}

async function takePicture() {
  const video = byId("video"), canvas = document.createElement("canvas");
  if (!video.videoWidth) return null;
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  return new File([blob], "camera.png", { type: "image/png" });
}

/** Shows the button if there is a camera; `onPicture` gets each picture as a file. */
export async function setUpCamera(onPicture, onProblem) {
  // Without a secure context there is no `mediaDevices`.
  const devices = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
  byId("open-camera").hidden = !devices.some(({ kind }) => kind === "videoinput");
  byId("open-camera").addEventListener("click", () => {
    open().catch(({ name, message }) => {
      close();
      onProblem(new Error(REFUSED[name] ?? `The camera can't be used: ${message}`));
    });
  });
  byId("take-picture").addEventListener("click", async () => {
    const file = await takePicture();
    if (!file) return;
    close();
    byId("open-camera").focus();
    onPicture(file);
  });
  byId("close-camera").addEventListener("click", () => {
    close();
    byId("open-camera").focus();
  });
  byId("camera").addEventListener("keydown", ({ key }) => {
    if (key === "Escape") byId("close-camera").click();
  });
}

export { close as closeCamera };
