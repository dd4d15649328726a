// A film: a sheet of frames, one of which is drawn.

import { element } from "../dom.js";
import { content } from "../clips.js";
import { frameAt } from "../player.js";

export async function load(clip) {
  // Fetched rather than set as source, so that a refusal can say why.
  const address = URL.createObjectURL(await (await content(clip.url)).blob());
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    return image;
  } finally {
    URL.revokeObjectURL(address);
  }
}

export function view(clip, image) {
  const columns = clip.columns ?? Math.ceil(Math.sqrt(clip.frames));
  const width = Math.floor(image.naturalWidth / columns);
  const height = Math.floor(image.naturalHeight / Math.ceil(clip.frames / columns));
  const canvas = element("canvas", { class: "film", width, height, role: "img", "aria-label": clip.alt ?? "Film" });
  const pen = canvas.getContext("2d");
  let drawn = -1;
  return {
    element: canvas,
    show(time) {
      const frame = frameAt(clip, time);
      if (frame === drawn) return;
      drawn = frame;
      const x = (frame % columns) * width;
      const y = Math.floor(frame / columns) * height;
      pen.drawImage(image, x, y, width, height, 0, 0, width, height);
    },
  };
}
