/**
 * Where the values of a model's weights come from: a file, an overlay, a planned store. Values are float32 in the order in which the model
 * stores the tensor.
 */
export interface WeightReader {
  /** Shape as stored. Errors: `malformed-file` for a name that the model lacks. */
  shapeOf(name: string): readonly number[];
  /** All values; into `target` where one of that length is given. */
  read(name: string, target?: Float32Array): Promise<Float32Array>;
}
