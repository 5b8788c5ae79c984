/** One input of an automation, as its document has it: a part of JSON Schema. */
export interface Input {
  type: "string" | "integer" | "number" | "boolean" | "array" | "object";
  title?: string;
  description?: string;
  default?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
}

export interface Field {
  name: string;
  label: string;
  help: string;
  required: boolean;
  kind: "text" | "number" | "checkbox" | "select" | "json";
  /** Of an `input` element. */
  type: string;
  options: string[];
  input: Input;
}

const TYPES: Record<string, string> = {
  date: "date",
  email: "email",
  uri: "url",
  password: "password",
};

/** The fields of a form for the inputs of an automation's document, in their order. */
export function fieldsOf(document: Record<string, unknown>): Field[] {
  const inputs = (document.inputs ?? {}) as Record<string, Input>;
  return Object.entries(inputs).map(([name, input]) => ({
    name,
    label: input.title ?? name,
    help: input.description ?? "",
    required: !("default" in input),
    kind: kindOf(input),
    type: TYPES[input.format ?? ""] ?? "text",
    options: (input.enum ?? []).map((value) => JSON.stringify(value)),
    input,
  }));
}

function kindOf(input: Input): Field["kind"] {
  if (input.enum) return "select";
  if (input.type === "boolean") return "checkbox";
  if (input.type === "integer" || input.type === "number") return "number";
  return input.type === "string" ? "text" : "json";
}

/** What stands in a field before anybody has typed. */
export function initial({ kind, input }: Field): string | boolean {
  if (kind === "checkbox") return input.default === true;
  if (input.default === undefined || input.default === null) return "";
  if (kind === "select" || kind === "json") return JSON.stringify(input.default);
  return String(input.default);
}

/**
 * What was typed, as the values that a run is started with. A field that is left empty is left out,
 * so that the automation's default holds. `mistakes` are by name; they are words of the locales.
 */
export function valuesOf(
  fields: readonly Field[],
  typed: Readonly<Record<string, string | boolean>>,
): { values: Record<string, unknown>; mistakes: Record<string, "needed" | "number" | "json"> } {
  const values: Record<string, unknown> = {};
  const mistakes: Record<string, "needed" | "number" | "json"> = {};
  for (const { name, kind, required, input } of fields) {
    const entered = typed[name] ?? "";
    if (typeof entered === "boolean") values[name] = entered;
    else if (entered === "" && !(kind === "text" && required && input.minLength === 0)) {
      if (required) mistakes[name] = "needed";
    } else if (kind === "number") {
      const number = Number(entered);
      if (Number.isFinite(number)) values[name] = number;
      else mistakes[name] = "number";
    } else if (kind === "select" || kind === "json") {
      try {
        values[name] = JSON.parse(entered) as unknown;
      } catch {
        mistakes[name] = "json";
      }
    } else values[name] = entered;
  }
  return { values, mistakes };
}
