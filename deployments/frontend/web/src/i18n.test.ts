import { describe, expect, it } from "vitest";

import { preferred } from "./i18n";
import de from "./locales/de";
import en from "./locales/en";

const nothing = { getItem: () => null };
const chosen = (language: string) => ({ getItem: () => language });

describe("the language of the page", () => {
  it("is the chosen one, else the first that the browser speaks and we do", () => {
    expect(preferred(chosen("de"), ["en"])).toBe("de");
    expect(preferred(nothing, ["fr-CH", "de-AT", "en"])).toBe("de");
    expect(preferred(nothing, ["fr"])).toBe("en");
    expect(preferred(chosen("tlh"), ["fr"])).toBe("en");
  });
});

/** Each text by its path, as a sentence with the names of what is put into it. */
function texts(part: object, path = ""): [string, string][] {
  return Object.entries(part).flatMap(([name, value]): [string, string][] =>
    typeof value === "string" ? [[path + name, value]] : texts(value as object, `${path}${name}.`),
  );
}

describe("the languages", () => {
  it("put the same values into the same texts", () => {
    const values = (text: string) => [...new Set(text.match(/\{\w+\}/g))].sort();
    const german = new Map(texts(de));
    for (const [path, text] of texts(en))
      expect([path, values(german.get(path) ?? "")]).toEqual([path, values(text)]);
  });
});
