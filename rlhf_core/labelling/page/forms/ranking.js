// Put clips in order; the last place follows from the others.

import * as order from "../order.js";

export const title = "Put the clips in order";
export const hint = "Choose the best one first, then the next best. You can also drag a clip onto another to take its place.";
export const names = (count) => Array.from({ length: count }, (_, at) => `Clip ${at + 1}`);
export const keys = [[["1", "–", "9"], "Give a clip the next place, or take it away"], [["⌫"], "Take the last place away"], [["Enter"], "Send the order"]];
export const skip = { skip: true };
export const describe = order.describe;
export const open = (host) => order.open(host, host.figures.length - 1);
