// Pictures to choose from, and files that are dropped in or opened.

// Brings square values of one side to another by the mean over areas; each pixel counts as far as it is covered.
function resizeSquare(values, from, to) {
  const out = new Float32Array(to * to);
  const shares = Array.from({ length: to }, (_, i) => coverage(i * from / to, (i + 1) * from / to));
  for (let row = 0; row < to; row++) {
    for (let column = 0; column < to; column++) {
      let sum = 0;
      let total = 0;
      for (const [y, down] of shares[row]) {
        for (const [x, across] of shares[column]) {
          sum += values[y * from + x] * down * across;
          total += down * across;
        }
      }
      out[row * to + column] = sum / total;
    }
  }
  return out;
}

function coverage(start, end) {
  const found = [];
  for (let place = Math.floor(start + 1e-9); place < end - 1e-9; place++) {
    found.push([place, Math.min(place + 1, end) - Math.max(place, start)]);
  }
  return found;
}

// A built-in or given picture in 0..1 at a side; one dot stays one pixel at any side.
function pictureValues(id, side) {
  if (id === "dot") {
    const values = new Float32Array(side * side);
    values[Math.floor((side - 1) / 2) * side + Math.floor((side - 1) / 2)] = 1;
    return values;
  }
  const { pixels } = PAGE.pictures.find((picture) => picture.id === id);
  return resizeSquare(Float32Array.from(decodeBytes(pixels), (byte) => byte / 255), PAGE.pictureSide, side);
}

// An image file as RGBA bytes of the asked size; `cover` cuts it to the proportions, else it is squashed.
async function readImageFile(file, width, height, cover) {
  const image = await createImageBitmap(file);
  const canvas = element("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillRect(0, 0, width, height);
  const scale = Math.min(image.width / width, image.height / height);
  const [cutWidth, cutHeight] = cover ? [width * scale, height * scale] : [image.width, image.height];
  const [left, top] = [(image.width - cutWidth) / 2, (image.height - cutHeight) / 2];
  context.drawImage(image, left, top, cutWidth, cutHeight, 0, 0, width, height);
  return { size: [image.width, image.height], bytes: context.getImageData(0, 0, width, height).data };
}

// The luma of ITU-R BT.601, as Pillow computes grey.
function greyPixels(bytes) {
  const values = new Float32Array(bytes.length / 4);
  for (let i = 0; i < values.length; i++) {
    values[i] = (0.299 * bytes[4 * i] + 0.587 * bytes[4 * i + 1] + 0.114 * bytes[4 * i + 2]) / 255;
  }
  return values;
}

// Files may be dropped anywhere on a screen, or opened by its button.
function takeFiles(screen, input, take) {
  input.addEventListener("change", () => {
    if (input.files.length) take(input.files[0]);
    input.value = "";
  });
  screen.addEventListener("dragover", (event) => event.preventDefault());
  screen.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}
