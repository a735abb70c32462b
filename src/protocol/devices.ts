/** One provider on this machine: usable or not, and what is missing. */
export interface DeviceStatus {
  readonly provider: 'cpu' | 'cuda' | 'webgpu' | 'dml' | 'coreml';
  readonly usable: boolean;
  /** Processor or card, where known. */
  readonly name: string;
  /** One sentence. */
  readonly reason: string;
  /** Checks in order; each failed one states what to do. */
  readonly checks: readonly { readonly name: string; readonly passed: boolean; readonly found: string; readonly advice?: string }[];
}

/** What `devices` prints. */
export interface DevicesReport {
  readonly platform: string;
  readonly runtime: string;
  readonly runtimePath: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly memoryAvailableBytes: number;
  readonly devices: readonly DeviceStatus[];
  /** What `auto` would take, and why. */
  readonly automatic: { readonly provider: string; readonly reason: string };
}
