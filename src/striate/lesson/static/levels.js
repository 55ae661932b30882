// Values as grey levels and colours.

// From black for the lowest value to white for the highest; zero is always between.
function valueRange(values) {
  let [low, high] = [0, 0];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low === high ? { low: 0, high: 1 } : { low, high };
}

function greyOf(value, { low, high }) {
  return Math.round(255 * clamp((value - low) / (high - low), 0, 1));
}

function greyImage(values, height, width, range) {
  const image = new ImageData(width, height);
  for (let i = 0; i < values.length; i++) {
    const grey = greyOf(values[i], range);
    image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = grey;
    image.data[4 * i + 3] = 255;
  }
  return image;
}

// Values (C, H, W) in 0..1 as pixels.
function imageOf(values, channels, height, width) {
  const image = new ImageData(width, height);
  const plane = height * width;
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = Math.round(255 * values[(channels === 3 ? c : 0) * plane + i]);
    image.data[4 * i + 3] = 255;
  }
  return image;
}
