import js from '@eslint/js';
import importX from 'eslint-plugin-import-x';
import { createTypeScriptImportResolver } from 'eslint-import-resolver-typescript';
import tseslint from 'typescript-eslint';

/**
 * Who may import whom. Each folder lists what it may use; everything else is an error whose message says what is allowed.
 * Inside the engine a folder may import every folder that stands before it in this order.
 */
const engineOrder = [
  ['graph'],
  ['ops', 'formats'],
  ['autodiff'],
  ['kernels'],
  ['runtime'],
  ['architectures'],
  ['models'],
  ['text'],
  ['blocks'],
  ['evaluate'],
  ['generate'],
  ['calibrate', 'train'],
  ['outputs'],
  ['compress', 'merge'],
  ['reports'],
  ['recipe', 'jobs'],
  ['services'],
];

const outer = {
  'src/common': ['src/common'],
  'src/protocol': ['src/common', 'src/protocol'],
  'src/engine': ['src/common', 'src/protocol', 'src/engine'],
  'src/cli': ['src/common', 'src/protocol', 'src/engine', 'src/cli'],
  'src/extension': ['src/common', 'src/protocol', 'src/extension'],
  webview: ['src/common', 'src/protocol', 'webview'],
};

const outerZones = Object.entries(outer).flatMap(([target, allowed]) =>
  [...Object.keys(outer), 'test', 'scripts']
    .filter((folder) => !allowed.includes(folder))
    .map((folder) => ({ target: `./${target}`, from: `./${folder}`, message: `${target} may import only: ${allowed.join(', ')}.` })),
);

const engineZones = engineOrder.flatMap((row, level) =>
  row.flatMap((folder) => {
    const before = engineOrder.slice(0, level).flat();
    const allowed = [folder, ...before];
    return engineOrder
      .flat()
      .filter(
        (other) =>
          !allowed.includes(other) &&
          !(level >= engineOrder.length - 2 && row.includes(other)) &&
          !(folder === 'outputs' && other === 'compress'),
      )
      .map((other) => ({
        target: `./src/engine/${folder}`,
        from: `./src/engine/${other}`,
        message: `src/engine/${folder} may import only: common, protocol, ${allowed.map((name) => `engine/${name}`).join(', ')}.`,
      }));
  }),
);

const restricted = (patterns) => ['error', { patterns: patterns.map(([group, message]) => ({ group, message })) }];
const onlyRuntime = [
  ['onnxruntime-node', 'onnxruntime-common'],
  'Only src/engine/runtime imports ONNX Runtime; use its Session and Runtime.',
];
/** Types of the runtime; its code is loaded by one file, which turns telemetry off first. */
const onlyLoadOrt = {
  group: ['onnxruntime-node', 'onnxruntime-common'],
  message: 'Only loadOrt loads ONNX Runtime (tests: test/support/ort.ts); import its types with "import type".',
  allowTypeImports: true,
};
const onlyExtension = [['vscode'], 'Only src/extension imports vscode.'];
const onlyComponents = [['@vscode/webview-ui-toolkit', '@vscode/webview-ui-toolkit/*'], 'Only webview/components imports the UI toolkit.'];

/** Names are text: whatever is shown goes through the functions that escape it for its place. */
const shownBy = 'Strings from files, paths and models are escaped for where they are shown: use the functions of';
const onlyShown = [
  [
    "MemberExpression[object.property.name='window'][property.name=/^(show(Error|Warning|Information)Message|showQuickPick|showInputBox|createQuickPick|createInputBox|withProgress|setStatusBarMessage|createStatusBarItem|createOutputChannel|createTerminal|createWebviewPanel)$/]",
    `${shownBy} src/extension/shown.`,
  ],
  [
    "NewExpression[callee.object.name='vscode'][callee.property.name=/^(TreeItem|MarkdownString|Diagnostic|CompletionItem|InlayHint|StatusBarItem|QuickInputButtons)$/]",
    `${shownBy} src/extension/shown.`,
  ],
  [
    'AssignmentExpression[left.property.name=/^(label|title|description|tooltip|message|detail|documentation|accessibilityInformation|prompt|placeholder|validationMessage)$/]',
    `${shownBy} src/extension/shown.`,
  ],
  ['CallExpression[callee.property.name=/^append(Text|Markdown|Codeblock|Line)$/]', `${shownBy} src/extension/shown.`],
  [
    'Property[key.name=/^(label|description|detail)$/] > :matches(Literal[value=/\\$\\(/], TemplateLiteral:has(TemplateElement[value.raw=/\\$\\(/]))',
    'Name the icon in the field "icon": "$(name)" in a text is shown as it is written.',
  ],
];
const onlyDom = [
  [
    'MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML|write|writeln|parseFromString|srcdoc)$/]',
    'Pages show text, never markup from a string.',
  ],
  ['AssignmentExpression[left.property.name=/^(textContent|innerText|title)$/]', `${shownBy} webview/components/dom.ts.`],
  [
    "CallExpression[callee.property.name='setAttribute'][arguments.0.value=/^(title|aria-label|alt|placeholder)$/]",
    `${shownBy} webview/components/dom.ts.`,
  ],
];
const onlyTerminal = [
  [
    "MemberExpression[object.object.name='process'][object.property.name=/^std(out|err)$/][property.name='write']",
    `${shownBy} src/cli/terminal.ts.`,
  ],
];
const syntax = (rows) => ['error', ...rows.map(([selector, message]) => ({ selector, message }))];

export default tseslint.config(
  {
    ignores: [
      'dist/**',
      'node_modules/**',
      '**/node_modules/**',
      'coverage/**',
      '.tmp/**',
      'test-results/**',
      'src/engine/formats/onnx/generated/**',
    ],
  },
  js.configs.recommended,
  {
    files: ['**/*.ts'],
    extends: [...tseslint.configs.recommended],
    plugins: { 'import-x': importX },
    languageOptions: {
      parserOptions: {
        project: ['src/*/tsconfig.json', 'src/protocol/client/tsconfig.json', 'webview/tsconfig.json', 'test/tsconfig.json'],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    settings: {
      'import-x/resolver-next': [createTypeScriptImportResolver({ project: 'tsconfig.base.json', noWarnOnMultipleProjects: true })],
    },
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      'import-x/no-restricted-paths': ['error', { basePath: import.meta.dirname, zones: [...outerZones, ...engineZones] }],
      'import-x/no-cycle': 'error',
      'no-restricted-imports': restricted([onlyRuntime, onlyExtension, onlyComponents]),
    },
  },
  {
    files: ['src/engine/runtime/**/*.ts', 'test/**/*.ts'],
    rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns: [onlyLoadOrt] }] },
  },
  { files: ['src/engine/runtime/**/*.ts'], rules: { 'no-restricted-imports': restricted([onlyExtension, onlyComponents]) } },
  { files: ['src/extension/**/*.ts'], rules: { 'no-restricted-imports': restricted([onlyRuntime, onlyComponents]) } },
  { files: ['webview/components/**/*.ts'], rules: { 'no-restricted-imports': restricted([onlyRuntime, onlyExtension]) } },
  { files: ['src/extension/**/*.ts'], ignores: ['src/extension/shown/**'], rules: { 'no-restricted-syntax': syntax(onlyShown) } },
  { files: ['webview/**/*.ts'], ignores: ['webview/components/dom.ts'], rules: { 'no-restricted-syntax': syntax(onlyDom) } },
  {
    files: ['src/cli/**/*.ts', 'src/engine/**/*.ts'],
    ignores: ['src/cli/terminal.ts', 'src/engine/main.ts', 'src/engine/supervisor.ts'],
    rules: { 'no-restricted-syntax': syntax(onlyTerminal) },
  },
  { files: ['test/**/*.ts'], rules: { 'no-restricted-imports': 'off', '@typescript-eslint/no-non-null-assertion': 'off' } },
  {
    files: ['**/*.mjs'],
    languageOptions: {
      globals: {
        process: 'readonly',
        console: 'readonly',
        URL: 'readonly',
        Buffer: 'readonly',
        setTimeout: 'readonly',
        clearTimeout: 'readonly',
        setInterval: 'readonly',
        clearInterval: 'readonly',
        fetch: 'readonly',
        AbortController: 'readonly',
        performance: 'readonly',
      },
    },
  },
);
