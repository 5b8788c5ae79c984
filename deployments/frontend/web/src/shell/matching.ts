import type { IconName } from "../ui/AppIcon.vue";

export interface Command {
  id: string;
  title: string;
  /** The group's name, shown beside it. */
  kind: string;
  icon: IconName;
  run(): unknown;
}

/** The commands with every word that was typed in their title or kind, in their order. */
export function matching(commands: readonly Command[], typed: string): Command[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  return commands.filter(({ title, kind }) => {
    const text = `${title} ${kind}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
