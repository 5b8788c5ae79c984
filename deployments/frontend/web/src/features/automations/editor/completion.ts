import format from "./format.json";

export interface Schema {
  $ref?: string;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  properties?: Record<string, Schema>;
  patternProperties?: Record<string, Schema>;
  additionalProperties?: boolean | Schema;
  items?: Schema;
  prefixItems?: Schema[];
  enum?: unknown[];
  const?: unknown;
  type?: string;
  description?: string;
  required?: string[];
}

export interface Proposal {
  label: string;
  detail: string;
}

const ROOT = format as unknown as Schema & { $defs: Record<string, Schema> };
const LINE = /^( *)((?:- +)*)(?:("[^"]*"|[\w.$-]+) *:(?= |$))?(.*)$/;

/** Where a place of a document is: keys from the root on, `[]` for an item of a list. */
export interface Spot {
  path: string[];
  /** The key whose value is being written, null where a key is. */
  key: string | null;
}

/** Where in a YAML text its last line's end is, by indentation as the format's documents have it. */
export function spotAt(text: string): Spot {
  const stack: { indent: number; name: string }[] = [];
  const lines = text.split("\n");
  let key: string | null = null;
  lines.forEach((line, number) => {
    const last = number === lines.length - 1;
    if (!last && /^\s*(#.*)?$/.test(line)) return;
    const [, blanks = "", dashes = "", name, rest = ""] = LINE.exec(line) ?? [];
    let column = blanks.length;
    // A list may stand below its key without being indented; a key at that column ends it.
    while (stack.length > 0) {
      const top = stack[stack.length - 1] as { indent: number; name: string };
      const holds = dashes !== "" && top.indent === column && top.name !== "[]";
      if (top.indent < column || holds) break;
      stack.pop();
    }
    for (const dash of dashes.match(/- +/g) ?? []) {
      stack.push({ indent: column, name: "[]" });
      column += dash.length;
    }
    const word = name?.replaceAll('"', "");
    if (last) key = word !== undefined && /^ /.test(rest) ? word : null;
    else if (word !== undefined) stack.push({ indent: column, name: word });
  });
  return { path: stack.map(({ name }) => name), key };
}

/** Every schema that a value at `path` may have, choices and references resolved. */
export function schemasAt(path: readonly string[]): Schema[] {
  let here = resolved(ROOT);
  for (const name of path) here = here.flatMap((schema) => child(schema, name));
  return here;
}

function resolved(schema: Schema): Schema[] {
  if (schema.$ref) {
    const definition = ROOT.$defs[schema.$ref.replace("#/$defs/", "")];
    return definition ? resolved(definition) : [];
  }
  const choices = [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])];
  return choices.length > 0 ? choices.flatMap(resolved) : [schema];
}

function child(schema: Schema, name: string): Schema[] {
  if (name === "[]") return schema.items ? resolved(schema.items) : [];
  const own = schema.properties?.[name];
  if (own) return resolved(own);
  const named = Object.entries(schema.patternProperties ?? {});
  const match = named.find(([pattern]) => new RegExp(pattern, "u").test(name));
  if (match) return resolved(match[1]);
  const others = schema.additionalProperties;
  return typeof others === "object" ? resolved(others) : [];
}

/** Keys that may stand at the end of a text, or the values of the key that is being written. */
export function proposals(text: string): Proposal[] {
  const { path, key } = spotAt(text);
  if (key === null) return keysOf(schemasAt(path));
  const values = schemasAt([...path, key]).flatMap(valuesOf);
  return [...new Set(values)].map((label) => ({ label, detail: "" }));
}

function keysOf(schemas: readonly Schema[]): Proposal[] {
  const keys = new Map<string, string>();
  for (const { properties = {}, required = [] } of schemas)
    for (const [name, schema] of Object.entries(properties)) {
      const needed = required.includes(name) ? "needed" : "";
      if (!keys.has(name)) keys.set(name, schema.description ?? needed);
    }
  return [...keys].map(([label, detail]) => ({ label, detail }));
}

function valuesOf(schema: Schema): string[] {
  if (schema.enum) return schema.enum.map(String);
  if (schema.const !== undefined) return [String(schema.const)];
  return schema.type === "boolean" ? ["true", "false"] : [];
}
