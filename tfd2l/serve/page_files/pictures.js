// Images: drawn from pixels, and files made readable for the server.

import { MAX_BYTES } from "./server.js";

// Enough for any model, and as PNG never longer than the server allows.
const MAX_SIDE = 1400;
const PREVIEW_SIDE = 360;
// The first bytes of PNG, JPEG, GIF, BMP and WebP, the formats that the server reads.
const READABLE = /^(\x89PNG|\xff\xd8\xff|GIF8|BM|RIFF....WEBP)/s;

/** Draws grey or RGB pixels, a list of rows. */
export function drawPixels(canvas, pixels) {
  canvas.width = pixels[0].length;
  canvas.height = pixels.length;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  pixels.flat().forEach((value, i) => {
    const [red, green, blue] = Array.isArray(value) ? value : [value, value, value];
    image.data.set([red, green, blue, 255], 4 * i);
  });
  context.putImageData(image, 0, 0);
}

/** Draws an image, made smaller to fit into a square of `side` pixels. */
export function drawFitted(canvas, image, side) {
  const scale = Math.min(1, side / Math.max(image.width, image.height));
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
}

/**
 * Reads an image file: `body` for the server, a `preview` to show, and `notes` of what was changed.
 *
 * The browser decodes other formats than the server's, and makes images smaller that are too long
 * for a request. What it can't decode goes to the server as it is, which says why it is refused.
 */
export async function readImageFile(file) {
  const head = await file.slice(0, 16).arrayBuffer().catch(() => {
    throw new Error(`${file.name} can't be read; choose an image file, and not a folder.`);
  });
  const isReadable = READABLE.test(String.fromCharCode(...new Uint8Array(head)));
  const bitmap = await createImageBitmap(file).catch(() => null);
  const preview = bitmap && document.createElement("canvas");
  if (bitmap) drawFitted(preview, bitmap, PREVIEW_SIDE);
  if (isReadable && file.size <= MAX_BYTES) return { body: file, preview, notes: [] };
  if (!bitmap) {
    if (file.size <= MAX_BYTES) return { body: file, preview, notes: [] };
    const limit = `${MAX_BYTES >> 20} MiB`;
    throw new Error(`An image file may have ${limit}; ${file.name} has more. Make it smaller.`);
  }
  const canvas = document.createElement("canvas");
  drawFitted(canvas, bitmap, MAX_SIDE);
  const body = await new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
  const change = isReadable ? "made smaller" : "decoded";
  const sizes = `${bitmap.width} x ${bitmap.height} to a PNG file of ${canvas.width} x ${canvas.height}`;
  return { body, preview, notes: [`${change} by this browser: ${sizes}`] };
}
