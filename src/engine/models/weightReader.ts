/**
 * Where the values of a model's weights come from: a file, an overlay, a planned store. Values are float32 in the order in which the model
 * stores the tensor.
 */
export interface WeightReader {
  /** Shape as stored. Errors: `malformed-file` for a name that the model lacks. */
  shapeOf(name: string): readonly number[];
  /** All values; into `target` where one of that length is given. */
  read(name: string, target?: Float32Array): Promise<Float32Array>;
  /** Rows `first` to `first + count` of a matrix, [count * columns]. Absent if tensors come whole only; `readRows` works for every reader. */
  readRows?(name: string, first: number, count: number): Promise<Float32Array>;
}

/** Rows `first` to `first + count` of a matrix, [count * columns]. The fallback of readers without this method reads the whole matrix. */
export async function readRows(reader: WeightReader, name: string, first: number, count: number): Promise<Float32Array> {
  if (reader.readRows) return reader.readRows(name, first, count);
  const columns = reader.shapeOf(name)[1] as number;
  return (await reader.read(name)).subarray(first * columns, (first + count) * columns);
}
