import { describe, expect, it } from "vitest";

import { fieldsOf, initial, valuesOf } from "./inputs";
import { mistakesIn } from "./editor/mistakes";

const DOCUMENT = {
  inputs: {
    city: { type: "string", title: "City" },
    count: { type: "integer", default: 3 },
    loud: { type: "boolean", default: true },
    size: { type: "string", enum: ["s", "m"], default: "m" },
    tags: { type: "array", default: [] },
    day: { type: "string", format: "date", default: null },
  },
};
const fields = fieldsOf(DOCUMENT);
const typed = Object.fromEntries(fields.map((field) => [field.name, initial(field)]));

describe("the form of an automation", () => {
  it("has a field for each input, in the document's order and words", () => {
    expect(fields.map(({ label, kind, required }) => [label, kind, required])).toEqual([
      ["City", "text", true],
      ["count", "number", false],
      ["loud", "checkbox", false],
      ["size", "select", false],
      ["tags", "json", false],
      ["day", "text", false],
    ]);
    expect(fields[5]?.type).toBe("date");
  });

  it("starts from the defaults and leaves out what is left empty", () => {
    expect(valuesOf(fields, { ...typed, city: "Rome" })).toEqual({
      values: { city: "Rome", count: 3, loud: true, size: "m", tags: [] },
      mistakes: {},
    });
  });

  it("asks for what is needed, and names what is no number and no JSON", () => {
    expect(valuesOf(fields, { ...typed, count: "many", tags: "[" }).mistakes).toEqual({
      city: "needed",
      count: "number",
      tags: "json",
    });
  });

  it("of an automation without inputs is empty", () => {
    expect(fieldsOf({})).toEqual([]);
  });
});

describe("mistakesIn", () => {
  it("reads line and column of each mistake that the server tells", () => {
    expect(mistakesIn("3:5: steps[0].use: there is no such tool\nit is no map.")).toEqual([
      { line: 3, column: 5, message: "steps[0].use: there is no such tool" },
      { line: 0, column: 0, message: "it is no map." },
    ]);
  });
});
