import { dirname, relative, sep } from 'node:path';

/** How a recipe names a path: relative to its own file, with slashes on every system. */
export function pathInRecipe(recipe: string, path: string): string {
  return relative(dirname(recipe), path).split(sep).join('/') || '.';
}
