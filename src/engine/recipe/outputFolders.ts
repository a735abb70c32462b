import { sep } from 'node:path';

/** A folder on the way to the outputs of a recipe. */
interface Place {
  readonly children: Map<string, Place>;
  /** The first output in this folder or below it. */
  first: Output;
  /** True where `first` is this folder itself. */
  isOutput: boolean;
}

interface Output {
  readonly step: string;
  readonly path: string;
}

/** The output folders of a recipe, which must be side by side: a folder inside another would change a finished model or be in the way of the step that writes the outer one. */
export class OutputFolders {
  private readonly roots = new Map<string, Place>();

  /** Takes a folder for a step. `path`: absolute, as `resolve` gives it. Gives what is wrong with it, a sentence, where an earlier step has that folder, one in it or one around it. */
  claim(step: string, path: string): string | undefined {
    let children = this.roots;
    const parts = path.split(sep).filter((part) => part !== '');
    for (const [index, part] of parts.entries()) {
      const known = children.get(part);
      const last = index === parts.length - 1;
      if (known?.isOutput)
        return last
          ? `Step '${known.first.step}' writes to the same folder. Give each step a different folder.`
          : nested(known.first, 'which contains this folder');
      if (known && last) return nested(known.first, 'inside this folder');
      const place = known ?? { children: new Map<string, Place>(), first: { step, path }, isOutput: last };
      children.set(part, place);
      children = place.children;
    }
    return undefined;
  }
}

function nested({ step, path }: Output, where: string): string {
  return `Step '${step}' writes to ${path}, ${where}. Choose folders side by side: an output cannot contain another.`;
}
