// What a person is shown of a reader: how far it is from what happens now. No input or output here.

export type State = "connecting" | "catching up" | "live" | "reconnecting" | "ended";

/** Servers say the second of their answer, and may have made that text half a second before. */
const PRECISION = 1_500;

export class Phase {
  #state: State = "connecting";
  #opened: number | undefined;
  #failing = false;

  /** The last attempt has come to nothing, also where there never was a connection. */
  get failing(): boolean {
    return this.#failing;
  }

  get state(): State {
    return this.#state;
  }

  /** `at`: the moment of the answer by the server's clock. */
  opened(at?: number): void {
    if (this.#state === "ended") return;
    this.#failing = false;
    // Other streams have come or gone, for which there is another connection: of this one nothing was lost.
    if (this.#state === "live") return;
    this.#opened = at;
    this.#state = "catching up";
  }

  /** An event that was emitted after the connection was opened is news: everything from before has arrived. */
  event(createdAt: number): void {
    if (this.#state === "catching up" && this.#opened !== undefined && createdAt > this.#opened + PRECISION) {
      this.#state = "live";
    }
  }

  /** The server has nothing more to send at the moment. */
  quiet(): void {
    if (this.#state === "catching up") this.#state = "live";
  }

  lost(): void {
    if (this.#state === "ended") return;
    this.#failing = true;
    if (this.#state !== "connecting") this.#state = "reconnecting";
  }

  end(): void {
    this.#failing = false;
    this.#state = "ended";
  }
}
