// Which of several clips is the best?

import * as order from "../order.js";

export const title = "Which clip is the best?";
export const hint = "";
export const names = (count) => Array.from({ length: count }, (_, at) => `Clip ${at + 1}`);
export const keys = [[["1", "–", "9"], "Choose a clip"], [["Enter"], "Send the choice"]];
export const skip = { skip: true };
export const describe = order.describe;
export const open = (host) => order.open(host, 1);
