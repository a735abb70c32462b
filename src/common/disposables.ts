/** Something that holds a resource until it is disposed. Structurally equal to the editor's own type. */
export interface Disposable {
  dispose(): void;
}

/** Owns disposables and releases them in reverse order. Adding to a disposed store disposes immediately. */
export class DisposableStore implements Disposable {
  private items: Disposable[] = [];
  private disposed = false;

  add<T extends Disposable>(item: T): T {
    if (this.disposed) item.dispose();
    else this.items.push(item);
    return item;
  }

  dispose(): void {
    this.disposed = true;
    for (const item of this.items.splice(0).reverse()) item.dispose();
  }
}
