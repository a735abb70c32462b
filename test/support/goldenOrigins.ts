/** Python modules that may compute a golden: the standard library's plain parts and published packages, none of them this project. */
const independentModules = new Set(
  ['base64', 'copy', 'hashlib', 'importlib.metadata', 'io', 'json', 'math', 'os', 'pathlib', 'shutil', 'struct', 'sys', 'warnings'].concat([
    'gguf',
    'ml_dtypes',
    'numpy',
    'onnx',
    'onnxruntime',
    'safetensors',
    'sentencepiece',
    'tokenizers',
    'torch',
    'transformers',
  ]),
);

/** Ways in which a script could run this project's code in spite of harmless imports. */
const detours: readonly (readonly [RegExp, string])[] = [
  [/\b(?:src|dist)\//, "names a path in 'src/' or 'dist/'"],
  [/\bnode_modules\b|\b(?:npm|npx)\b|\bloomweight\b/i, 'mentions this project or its packages'],
  [/\bsubprocess\b|\bpopen\b|\bos\.(?:system|exec\w*|spawn\w*)\b/, 'starts a process'],
  [/\b__import__\b|\bimport_module\b|\brunpy\b|(?<!\.)\b(?:exec|eval)\(/, 'loads code that its imports do not name'],
];

/** The packages and modules that a Python script imports, each with its dotted name. */
function pythonImports(text: string): string[] {
  const found: string[] = [];
  for (const [, from, list] of text.matchAll(/^[ \t]*(?:from[ \t]+(\S+)[ \t]+import\b|import[ \t]+(.+))/gm)) {
    if (from !== undefined) found.push(from);
    else found.push(...(list as string).split(',').map((item) => item.trim().split(/\s+/)[0] as string));
  }
  return found;
}

/** Why the text of a generator is not independent of this project; empty where it is. */
export function dependenciesOfGenerator(path: string, text: string): string[] {
  if (!path.endsWith('.py')) return [`${path} is not a Python script: code of this project could compute its numbers`];
  const foreign = pythonImports(text).filter(
    (name) => !independentModules.has(name) && !independentModules.has(name.split('.')[0] as string),
  );
  return [
    ...foreign.map((name) => `${path} imports '${name}', which is not among the independent modules`),
    ...detours.filter(([pattern]) => pattern.test(text)).map(([, what]) => `${path} ${what}`),
  ];
}

/** The script named by the field `made` of a golden, as text or as `{ script }`. */
function generatorOf(made: unknown): string | undefined {
  const text = typeof made === 'object' && made !== null ? (made as Record<string, unknown>)['script'] : made;
  return typeof text === 'string' ? /\btest\/[\w/]+\.\w+/.exec(text)?.[0] : undefined;
}

/** Published code at one version: a package of PyPI, or a file of a repository at one commit. */
const publishedCode = /^(?:PyPI ([\w.-]+)==\d[\w.]* |([\w.-]+\/[\w.-]+)@[0-9a-f]{40} )\S*/;

/**
 * Why a golden is not known to be computed by code other than this project's; empty where it is. A golden names either its generator, a script of the
 * repository that writes it, or the published code that computed it (`kind: reference`, `source`, `licence`).
 * @param path of the golden, in the repository
 * @param readText the text of a file of the repository; undefined if there is none
 */
export function originProblems(path: string, document: unknown, readText: (path: string) => string | undefined): string[] {
  const root = document as Record<string, unknown>;
  const record = (root['header'] ?? root) as Record<string, unknown>;
  const generator = generatorOf(record['made']);
  if (generator !== undefined) {
    const text = readText(generator);
    if (text === undefined) return [`${path}: its generator ${generator} does not exist`];
    const [folder, name] = [path.slice(0, path.lastIndexOf('/')), path.slice(path.lastIndexOf('/') + 1)];
    const writes = text.includes(name) || text.includes(folder);
    return [...(writes ? [] : [`${path}: ${generator} does not write it`]), ...dependenciesOfGenerator(generator, text)];
  }
  const { kind, source, licence } = record;
  const published = typeof source === 'string' ? publishedCode.exec(source) : null;
  if (kind !== 'reference' || published === null) return [`${path} names neither its generator nor published code at one version`];
  if (/loomweight/i.test(published[0])) return [`${path} was computed by this project: ${published[0]}`];
  return typeof licence === 'string' && licence !== '' ? [] : [`${path} does not name the licence of ${published[0]}`];
}
