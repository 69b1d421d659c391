// Many values as one small picture: heat strips of wide layers, images, weights as an image.

// One scale of colours everywhere: from orange (negative) over nothing (zero) to blue (positive), the
// two told apart by colour-blind readers. The strength is the opacity, so it suits light and dark.
const POSITIVE = [47, 127, 208];
const NEGATIVE = [212, 118, 28];

// stripShape(100): { across: 15, down: 7 }, about twice as wide as high.
function stripShape(size) {
  const across = Math.min(size, Math.ceil(Math.sqrt(2 * size)));
  return { across, down: Math.ceil(size / across) };
}

// pictureOf(values, across, down, isShown): a data URL, one pixel for each value; values that are not
// to be shown yet stay empty.
function pictureOf(values, across, down, isShown = () => true) {
  const largest = largestMagnitude(values);
  return painted(across, down, (pixels) => {
    values.forEach((value, i) => {
      if (!isShown(i)) return;
      const share = shareOf(value, largest);
      pixels.set([...(share < 0 ? NEGATIVE : POSITIVE), 255 * Math.abs(share)], 4 * i);
    });
  });
}

// The image of an input: white on black, as the files of MNIST hold it.
function imageOf(values, { height, width }, [low, high]) {
  return painted(width, height, (pixels) => {
    values.forEach((value, i) => {
      const grey = (255 * (value - low)) / (high - low);
      pixels.set([grey, grey, grey, 255], 4 * i);
    });
  });
}

function painted(width, height, paint) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(width, height);
  paint(picture.data);
  context.putImageData(picture, 0, 0);
  return canvas.toDataURL();
}
