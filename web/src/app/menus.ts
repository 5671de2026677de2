/** Open menus and dialogs: Escape closes the one that was opened last, and nothing else. */

const open: (() => void)[] = [];

/** Notes an open menu; call what is returned when it closes. */
export function opened(close: () => void): () => void {
  open.push(close);
  return () => {
    const at = open.indexOf(close);
    if (at >= 0) open.splice(at, 1);
  };
}

/** Whether there was a menu to close. */
export function closeLast(): boolean {
  const close = open.pop();
  close?.();
  return close !== undefined;
}
