import type * as OrtModule from 'onnxruntime-node';
import { findRuntimePackage, loadOrt } from '../../src/engine/runtime/loadOrt';

/** Plain onnxruntime-node for tests that run a model without our sessions; loaded as the engine loads it, with telemetry off. */
export const plainOrt: typeof OrtModule = loadOrt(findRuntimePackage());
