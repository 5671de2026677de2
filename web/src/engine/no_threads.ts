/** Stands in for TensorFlow.js's program for several threads, which the page does not use. */
export default null;
export const wasmWorkerContents = '';
