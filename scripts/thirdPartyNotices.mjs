// Licences of all third-party code in a package, found from what the bundler actually included.
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Holders for packages that state a licence but ship no licence text. */
const HOLDERS = {
  'onnxruntime-node': 'Microsoft Corporation',
  'onnxruntime-common': 'Microsoft Corporation',
  '@microsoft/fast-element': 'Microsoft Corporation',
  '@microsoft/fast-foundation': 'Microsoft Corporation',
  '@microsoft/fast-web-utilities': 'Microsoft Corporation',
  '@huggingface/tokenizers': 'Hugging Face',
};

const MIT = (holder) => `MIT License

Copyright (c) ${holder}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation files (the
"Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, modify, merge, publish,
distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished to do so, subject to the
following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF
MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY
CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.`;

const BSD_3_CLAUSE = (holder) => `Copyright ${holder}. All rights reserved.

Redistribution and use in source and binary forms, with or without modification, are permitted provided that the following conditions are met:

* Redistributions of source code must retain the above copyright notice, this list of conditions and the following disclaimer.
* Redistributions in binary form must reproduce the above copyright notice, this list of conditions and the following disclaimer in the
  documentation and/or other materials provided with the distribution.
* Neither the name of the copyright holder nor the names of its contributors may be used to endorse or promote products derived from this
  software without specific prior written permission.

THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS" AND ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED
TO, THE IMPLIED WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT OWNER OR
CONTRIBUTORS BE LIABLE FOR ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES (INCLUDING, BUT NOT LIMITED TO,
PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES; LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND ON ANY THEORY OF
LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS
SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.`;

/** Texts for packages that ship none and are not plain MIT: the file of another package with the same licence, and what it lacks. */
const TEXTS = {
  '@bufbuild/protobuf': {
    holder: 'Copyright 2021-2026 Buf Technologies, Inc.',
    file: 'node_modules/@huggingface/tokenizers/LICENSE',
    more: BSD_3_CLAUSE('2008 Google Inc.'),
  },
};

/** Folder of the package that a bundled file belongs to, relative to the project: node_modules/a or node_modules/a/node_modules/@b/c. */
export function packageFolder(input) {
  const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
  return match?.[1];
}

async function notice(root, folder) {
  const { name, version, license, author } = JSON.parse(await readFile(join(root, folder, 'package.json'), 'utf8'));
  const texts = (await readdir(join(root, folder))).filter((file) => /^(licen[cs]e|notice|thirdpartynotices)(\.|-|$)/i.test(file)).sort();
  const parts = await Promise.all(texts.map(async (file) => (await readFile(join(root, folder, file), 'utf8')).trim()));
  if (!texts.some((file) => /^licen[cs]e/i.test(file))) {
    const text = TEXTS[name];
    if (text !== undefined) {
      const shared = (await readFile(join(root, text.file), 'utf8')).trim();
      return `${name} ${version} (${license})\n\n${[text.holder, shared, text.more].join('\n\n')}`;
    }
    const holder = HOLDERS[name] ?? (typeof author === 'string' ? author : author?.name);
    if (license !== 'MIT' || holder === undefined) {
      throw new Error(
        `third-party notices: ${name} ${version} (${license}) ships no licence text. Add its holder to scripts/thirdPartyNotices.mjs.`,
      );
    }
    parts.unshift(MIT(holder.replace(/\s*[<(].*$/, '')));
  }
  return `${name} ${version} (${license})\n\n${parts.join('\n\n')}`;
}

const RUNTIME_NOTE = {
  win32:
    'The Windows binaries of onnxruntime-node include DirectML.dll (Microsoft Software License Terms, redistributable with an application) and the DirectX Shader Compiler, dxcompiler.dll and dxil.dll (University of Illinois/NCSA Open Source License; LLVM Release License).',
};

/** The text of THIRD_PARTY_NOTICES: one section for each package, sorted by name. Throws if a licence text cannot be given. */
export async function thirdPartyNotices(root, bundles, platform) {
  const inputs = Object.values(bundles).flatMap((bundle) => bundle.inputs);
  const folders = new Set(inputs.map(packageFolder).filter((folder) => folder !== undefined));
  folders.add('node_modules/onnxruntime-node').add('node_modules/onnxruntime-common');
  const sections = await Promise.all([...folders].sort().map((folder) => notice(root, folder)));
  const head = 'Loomweight contains the following software of other authors. Each part keeps its licence, which follows.';
  const note = RUNTIME_NOTE[platform] === undefined ? [] : [RUNTIME_NOTE[platform]];
  const onnx =
    'ONNX Runtime itself is built from further open source software; its notices are in the file ThirdPartyNotices.txt of the repository github.com/microsoft/onnxruntime.';
  // The reading code is generated from ONNX's schema, which it contains in encoded form.
  const schema = `The ONNX schema, onnx-ml.proto (Apache-2.0)\n\n${(await readFile(join(root, 'src/engine/formats/onnx/generated/LICENSE-onnx'), 'utf8')).trim()}`;
  return `${[head, onnx, ...note, schema, ...sections].join(`\n\n${'-'.repeat(100)}\n\n`)}\n`;
}
