// As many connections as there are hundreds of streams.

import type { Http } from "../http.js";
import { Carrier, type CarrierOptions } from "./carrier.js";
import type { Sink, Source } from "./source.js";

export class Hub implements Source {
  readonly #carriers: Carrier[] = [];

  constructor(
    private readonly http: Http,
    private readonly options: CarrierOptions,
  ) {}

  attach(stream: string, sink: Sink): void {
    const carrier =
      this.#carriers.find((one) => one.carries(stream)) ?? this.#carriers.find((one) => !one.isFull) ?? this.#add();
    carrier.attach(stream, sink);
  }

  detach(stream: string, sink: Sink): void {
    for (const carrier of this.#carriers) carrier.detach(stream, sink);
  }

  wake(): void {
    for (const carrier of this.#carriers) carrier.wake();
  }

  close(): void {
    for (const carrier of this.#carriers.splice(0)) carrier.close();
  }

  #add(): Carrier {
    const carrier = new Carrier(this.http, this.options);
    this.#carriers.push(carrier);
    return carrier;
  }
}
