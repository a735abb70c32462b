/** A model's name as people know it: the folder's where the file is merely called model. */
export function modelName(path: string): string {
  const parts = path.split(/[\\/]/).filter((part) => part !== '');
  const last = parts.at(-1) ?? path;
  return /^(model|pytorch_model)\.(safetensors|onnx|bin)$/i.test(last) ? (parts.at(-2) ?? last) : last;
}
