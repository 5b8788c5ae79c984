export type Painter = (picture: ArrayBuffer) => Promise<void>;

/**
 * Paints JPEG pictures on `canvas`, which takes their size. Each is done when the browser paints
 * it: in a hidden tab that is never, so that no pictures are made for nobody.
 */
export function createPainter(canvas: HTMLCanvasElement): Painter {
  const context = canvas.getContext("2d", { alpha: false });
  return async (picture) => {
    const image = await createImageBitmap(new Blob([picture], { type: "image/jpeg" }));
    await new Promise(requestAnimationFrame);
    if (canvas.width !== image.width) canvas.width = image.width;
    if (canvas.height !== image.height) canvas.height = image.height;
    context?.drawImage(image, 0, 0);
    image.close();
  };
}
