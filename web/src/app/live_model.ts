/** The model, computed in a thread beside the page. */

import type { Bundle } from '../bundle/bundle';
import type { Answer, Attributed, Outputs, Question, Setup } from '../engine/types';

export interface Found {
  outputs: Outputs;
  /** null where it was not asked for. */
  attribution: Attributed | null;
}

type Asked = Omit<Question, 'id'>;

interface Waiting {
  question: Question;
  onOutputs: (outputs: Outputs) => void;
  resolve: (found: Found | null) => void;
  reject: (error: Error) => void;
  outputs?: Outputs;
}

export class LiveModel {
  #number = 0;
  #running: Waiting | null = null;
  /** Asked for since, by whom; of each only the last is computed. */
  #waiting = new Map<string, Waiting>();

  private constructor(private readonly worker: Worker) {
    worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#hear(data);
  }

  static async open(bundle: Bundle, modelId: string): Promise<LiveModel> {
    const { program, setup } = await bundle.network(modelId);
    const url = URL.createObjectURL(new Blob([program], { type: 'text/javascript' }));
    const worker = new Worker(url);
    try {
      await started(worker, setup);
    } catch (error) {
      worker.terminate();
      throw error;
    } finally {
      URL.revokeObjectURL(url);
    }
    return new LiveModel(worker);
  }

  /**
   * Computes what is asked.
   *
   * @param who a later question from the same takes the place of one that waits, which
   *   then resolves to null.
   * @param onOutputs told of value and policy before the attribution is there.
   */
  ask(who: string, asked: Asked, onOutputs: (outputs: Outputs) => void = () => {}): Promise<Found | null> {
    return new Promise((resolve, reject) => {
      this.#waiting.get(who)?.resolve(null);
      const question = { ...asked, id: this.#number++ };
      this.#waiting.set(who, { question, onOutputs, resolve, reject });
      this.#next();
    });
  }

  close(): void {
    this.worker.terminate();
  }

  #next(): void {
    if (this.#running || !this.#waiting.size) return;
    const [who, waiting] = this.#waiting.entries().next().value!;
    this.#waiting.delete(who);
    this.#running = waiting;
    this.worker.postMessage(waiting.question);
  }

  #hear(answer: Answer): void {
    const waiting = this.#running;
    if (!waiting || answer.kind === 'ready') return;
    if (answer.kind === 'failed') {
      waiting.reject(new Error(answer.message));
    } else if (answer.kind === 'outputs') {
      waiting.outputs = answer;
      waiting.onOutputs(answer);
      if (waiting.question.attribution) return;
      waiting.resolve({ outputs: answer, attribution: null });
    } else {
      waiting.resolve({ outputs: waiting.outputs!, attribution: answer });
    }
    this.#running = null;
    this.#next();
  }
}

function started(worker: Worker, setup: Setup): Promise<void> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<Answer>) =>
      data.kind === 'failed' ? reject(new Error(data.message)) : resolve();
    worker.onerror = (event) => reject(new Error(event.message || 'the program did not start'));
    worker.postMessage(setup);
  });
}
