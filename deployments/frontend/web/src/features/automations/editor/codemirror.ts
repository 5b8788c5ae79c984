import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  completionKeymap,
  type CompletionContext,
  type CompletionResult,
} from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { yaml } from "@codemirror/lang-yaml";
import { HighlightStyle, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { lintGutter, lintKeymap, setDiagnostics, type Diagnostic } from "@codemirror/lint";
import { EditorState, type Text } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";

import { proposals } from "./completion";
import type { Mistake } from "./mistakes";

const THEME = EditorView.theme({
  "&": { backgroundColor: "var(--sunken)", color: "var(--ink)", fontSize: "13.5px" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "-2px" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55", minHeight: "260px" },
  ".cm-content": { caretColor: "var(--ink)", padding: "10px 0" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  ".cm-gutters": {
    backgroundColor: "var(--sunken)",
    color: "var(--ink-2)",
    border: "0",
    borderRight: "1px solid var(--line)",
  },
  ".cm-activeLine": { backgroundColor: "transparent" },
  ".cm-selectionBackground, &.cm-focused .cm-selectionBackground": {
    backgroundColor: "var(--accent-soft) !important",
  },
  ".cm-tooltip": {
    backgroundColor: "var(--surface)",
    color: "var(--ink)",
    border: "1px solid var(--line-strong)",
    borderRadius: "9px",
  },
  ".cm-tooltip-autocomplete ul li[aria-selected]": {
    backgroundColor: "var(--accent)",
    color: "var(--accent-ink)",
  },
  // CodeMirror's own signs are pictures in data: addresses, which the page's policy refuses.
  ".cm-lintRange-error": {
    backgroundImage: "none",
    textDecoration: "underline wavy var(--bad)",
    textUnderlineOffset: "3px",
  },
  ".cm-lint-marker-error": { content: "none", color: "var(--bad)" },
  ".cm-lint-marker-error::after": { content: "'✕'", fontWeight: "700", lineHeight: "1" },
  ".cm-lintPoint-error::after": { borderBottomColor: "var(--bad)" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--bad)" },
  ".cm-completionDetail": { color: "inherit", fontStyle: "normal" },
});

const COLOURS = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: [tags.comment], color: "var(--ink-2)", fontStyle: "italic" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--ok)" },
  { tag: [tags.number, tags.bool, tags.null, tags.keyword], color: "var(--warn)" },
]);

/** Completes keys and values of the format at the cursor; see `completion.ts`. */
function complete(context: CompletionContext): CompletionResult | null {
  const word = context.matchBefore(/[\w.-]*/);
  if (!word || (word.from === word.to && !context.explicit)) return null;
  const before = context.state.sliceDoc(0, word.from);
  const isValue = /:[ ]+$/.test(before);
  const options = proposals(before).map(({ label, detail }) => ({
    label,
    detail: detail.slice(0, 60),
    type: isValue ? "enum" : "property",
    apply: isValue ? label : `${label}: `,
  }));
  return options.length > 0 ? { from: word.from, options, validFor: /^[\w.-]*$/ } : null;
}

/**
 * An editor of YAML inside `root`. A shadow root: there CodeMirror's rules are constructed style
 * sheets, which the page's Content-Security-Policy allows, and not a `style` element.
 */
export function createEditor(
  root: ShadowRoot,
  text: string,
  label: string,
  onChange: (text: string) => void,
): EditorView {
  const extensions = [
    lineNumbers(),
    history(),
    drawSelection(),
    highlightActiveLine(),
    closeBrackets(),
    yaml(),
    indentUnit.of("  "),
    syntaxHighlighting(COLOURS),
    autocompletion({ override: [complete], icons: false }),
    lintGutter(),
    // Tab leaves the editor, as it leaves every other field.
    keymap.of([
      ...closeBracketsKeymap,
      ...defaultKeymap,
      ...historyKeymap,
      ...completionKeymap,
      ...lintKeymap,
    ]),
    EditorView.lineWrapping,
    EditorView.contentAttributes.of({ "aria-label": label }),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) onChange(update.state.doc.toString());
    }),
    THEME,
  ];
  return new EditorView({ parent: root, root, state: EditorState.create({ doc: text, extensions }) });
}

/** Marks the mistakes at their line and column. */
export function mark(view: EditorView, mistakes: readonly Mistake[]): void {
  const { doc } = view.state;
  const diagnostics = mistakes
    .filter(({ line }) => line > 0)
    .map((mistake): Diagnostic => {
      const [from, to] = place(doc, mistake);
      return { from, to, severity: "error", message: mistake.message };
    });
  view.dispatch(setDiagnostics(view.state, diagnostics));
}

/** Puts the cursor where a mistake is. */
export function jump(view: EditorView, mistake: Mistake): void {
  const [anchor] = place(view.state.doc, mistake);
  view.dispatch({ selection: { anchor }, scrollIntoView: true });
  view.focus();
}

function place(doc: Text, { line, column }: Mistake): [number, number] {
  const at = doc.line(Math.min(Math.max(line, 1), doc.lines));
  const from = Math.min(at.from + Math.max(column - 1, 0), at.to);
  return [from, at.to];
}
