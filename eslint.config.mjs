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
