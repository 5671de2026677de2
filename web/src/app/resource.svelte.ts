/** A value that is loaded again whenever what it depends on changes. */

export class Resource<T> {
  value: T | undefined = $state.raw();
  error: Error | undefined = $state.raw();
  loading = $state(true);
  #attempt = $state(0);

  /** Call while a component is set up. What `make` reads before it waits is tracked. */
  constructor(make: () => Promise<T>, { keep = false } = {}) {
    $effect(() => {
      void this.#attempt;
      let current = true;
      this.loading = true;
      this.error = undefined;
      if (!keep) this.value = undefined;
      make().then(
        (value) => {
          if (!current) return;
          this.value = value;
          this.loading = false;
        },
        (error: Error) => {
          if (!current) return;
          this.value = undefined;
          this.error = error;
          this.loading = false;
        },
      );
      return () => {
        current = false;
      };
    });
  }

  again(): void {
    this.#attempt++;
  }
}
