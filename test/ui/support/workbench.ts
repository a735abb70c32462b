import type { Browser, Frame, Locator, Page } from 'playwright-core';

/** A click or a wait that takes longer has failed. Long enough for a busy machine: no promise of the design is measured by it. */
const actionTimeoutMs = 60_000;

/** A VS Code workbench in a page, with the selectors that hold. */
export class Workbench {
  /** Everything on the browser's console, for the check against policy violations. */
  readonly console: string[] = [];

  private constructor(readonly page: Page) {
    page.on('console', (message) => this.console.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => this.console.push(`pageerror: ${error.message}`));
  }

  /** Opens the workbench and waits until it is there. */
  static async open(browser: Browser, url: string, viewport = { width: 1280, height: 800 }): Promise<Workbench> {
    const context = await browser.newContext({ viewport });
    context.setDefaultTimeout(actionTimeoutMs);
    const workbench = new Workbench(await context.newPage());
    await workbench.page.goto(url, { waitUntil: 'commit' });
    await workbench.ready();
    return workbench;
  }

  async ready(): Promise<void> {
    await this.page.locator('.monaco-workbench .part.statusbar').waitFor({ timeout: 90_000 });
    await this.page.locator('.monaco-workbench .activitybar .action-item').first().waitFor();
  }

  private get quickInput(): Locator {
    return this.page.locator('.quick-input-widget input.input');
  }

  /** Rows of the open quick pick. */
  get picks(): Locator {
    return this.page.locator('.quick-input-list .monaco-list-row');
  }

  /**
   * Runs a command by its full title, "Category: Title". The list of commands is made when the box opens, and a command whose
   * enablement hangs on workspace trust is missing from it as long as the workbench waits for the remote side to say whether the
   * folder is trusted (a second or two after the start of a remote window; it takes no for an answer until then, and does not
   * update an open list). Then the box is opened again.
   */
  async command(title: string): Promise<void> {
    const row = this.picks.filter({ hasText: title }).first();
    const shown = (locator: Locator) =>
      locator.waitFor({ timeout: 3000 }).then(
        () => true,
        () => false,
      );
    for (let attempt = 1; ; attempt += 1) {
      await this.page.keyboard.press('F1');
      if (await shown(this.quickInput)) {
        // An editor that takes the focus late closes the box.
        const typed = await this.quickInput.fill(`>${title}`, { timeout: 3000 }).then(
          () => true,
          () => false,
        );
        if (typed && (await shown(row))) break;
        await this.page.keyboard.press('Escape');
        await this.quickInput.waitFor({ state: 'hidden' });
      }
      // A page that is still loading swallows the key.
      if (attempt === 8) throw new Error(`there is no command "${title}"`);
    }
    await row.click();
    // Closed, or replaced by the command's own quick pick.
    await this.page.waitForFunction(() => {
      const box = document.querySelector<HTMLInputElement>('.quick-input-widget input.input');
      return !box || box.offsetParent === null || !box.value.startsWith('>');
    });
  }

  /** Chooses the row of the open quick pick that has this text; waits until another step or nothing is shown. */
  async pick(text: string | RegExp): Promise<void> {
    const row = this.picks.filter({ hasText: text }).first();
    await row.waitFor();
    await row.click();
  }

  /** Filters the open quick pick, which draws only the rows in sight. */
  async search(text: string): Promise<void> {
    await this.quickInput.waitFor({ state: 'visible' });
    await this.quickInput.fill(text);
  }

  /** Types an answer into the open input box and accepts it. */
  async answer(text: string): Promise<void> {
    await this.quickInput.waitFor({ state: 'visible' });
    await this.quickInput.fill(text);
    await this.page.keyboard.press('Enter');
  }

  /** Waits until the open quick input shows a text in its title, its rows or its placeholder. */
  async inputShows(text: string): Promise<void> {
    const box = this.page.locator('.quick-input-widget');
    await box
      .filter({ hasText: text })
      .or(box.filter({ has: this.page.locator(`input[placeholder*="${text}"]`) }))
      .first()
      .waitFor();
  }

  /** Picks a colour theme by its label; `themeClass` is vs, vs-dark, hc-black or hc-light. */
  async theme(label: string, themeClass: string): Promise<void> {
    await this.command('Preferences: Color Theme');
    await this.quickInput.waitFor({ state: 'visible' });
    await this.quickInput.fill(label);
    await this.picks
      .filter({ has: this.page.getByText(label, { exact: true }) })
      .first()
      .click();
    await this.quickInput.waitFor({ state: 'hidden' });
    await this.page.locator(`.monaco-workbench.${themeClass}`).first().waitFor();
  }

  /**
   * Shows a view container by its title in the activity bar. After a reload the side bar comes back a moment later than the activity bar, and a click on the active
   * container would close it: so a click is for a container that is not active, and is repeated until the title is there.
   */
  async view(title: string): Promise<void> {
    const heading = this.page.locator('.part.sidebar .composite.title').filter({ hasText: title });
    const item = this.page.locator('.activitybar .action-item').filter({ has: this.page.locator(`a[aria-label^="${title}"]`) });
    await item.waitFor();
    for (const end = Date.now() + actionTimeoutMs; ;) {
      const shown = await heading.waitFor({ timeout: 2000 }).then(
        () => true,
        () => false,
      );
      if (shown) return;
      if (Date.now() > end) throw new Error(`the view "${title}" does not open`);
      const active = await item.evaluate((element) => element.classList.contains('checked'));
      // The item, not the link in it: the number of running jobs covers the link, and takes the click for the item.
      if (active !== true) await item.click();
    }
  }

  treeItem(text: string | RegExp): Locator {
    return this.page.locator('.sidebar .monaco-list-row[role="treeitem"]').filter({ hasText: text });
  }

  /** Chooses an entry of a tree item's menu. The workbench ignores clicks on a menu that has just opened: the click is repeated until the menu is gone. */
  async chooseFromMenu(item: string | RegExp, entry: string): Promise<void> {
    const menu = this.page.locator('.monaco-menu');
    await this.treeItem(item).first().click({ button: 'right' });
    const action = menu.locator('.action-item').filter({ hasText: entry }).first();
    await action.waitFor();
    for (const end = Date.now() + actionTimeoutMs; (await menu.count()) > 0;) {
      if (Date.now() > end) throw new Error(`the menu of ${item} does not take ${entry}`);
      await action.click({ timeout: 2000 }).catch(() => undefined);
      await menu.waitFor({ state: 'hidden', timeout: 2000 }).catch(() => undefined);
    }
  }

  /** Opens a tree item's children, if they are not shown already. */
  expand(text: string | RegExp): Promise<void> {
    return this.setExpanded(text, 'true');
  }

  /** Hides a tree item's children again, so that the items below it are in sight. */
  collapse(text: string | RegExp): Promise<void> {
    return this.setExpanded(text, 'false');
  }

  /** A click on a row that is just being drawn again goes nowhere, so it is repeated until the row has the state. */
  private async setExpanded(text: string | RegExp, wanted: 'true' | 'false'): Promise<void> {
    const item = this.treeItem(text).first();
    await item.waitFor();
    for (const end = Date.now() + actionTimeoutMs; ;) {
      if ((await item.getAttribute('aria-expanded')) === wanted) return;
      if (Date.now() > end) throw new Error(`the row ${text} does not become ${wanted === 'true' ? 'expanded' : 'collapsed'}`);
      await item.locator('.monaco-tl-twistie').click();
      const state = this.page.locator(`.sidebar .monaco-list-row[aria-expanded="${wanted}"]`).filter({ hasText: text }).first();
      await state.waitFor({ timeout: 2000 }).catch(() => undefined);
    }
  }

  tab(text: string | RegExp): Locator {
    return this.page.locator('.tabs-container .tab').filter({ hasText: text });
  }

  /**
   * Opens a file of the workspace by its name, through the quick open box. A page that is still loading swallows the key, and an editor that takes the focus late closes the
   * box: it is opened again until the file has been chosen.
   */
  async openFile(name: string): Promise<void> {
    const row = this.picks.filter({ hasText: name }).first();
    for (const end = Date.now() + actionTimeoutMs; ;) {
      try {
        if (!(await this.quickInput.isVisible())) await this.page.keyboard.press('Control+p');
        await this.quickInput.fill(name, { timeout: 3000 });
        await row.click({ timeout: 5000 });
        break;
      } catch (error) {
        if (Date.now() > end) throw error;
      }
    }
    await this.quickInput.waitFor({ state: 'hidden' });
  }

  notification(text: string | RegExp): Locator {
    return this.page.locator('.notification-list-item').filter({ hasText: text });
  }

  /** A toast, as the workbench shows it for an installed extension while the notification centre is closed. */
  toast(text: string | RegExp): Locator {
    return this.page.locator('.notifications-toasts .notification-list-item').filter({ hasText: text });
  }

  /** Time in milliseconds from the key press to the list of commands: what a user feels of a busy editor. */
  async paletteTime(): Promise<number> {
    const started = Date.now();
    await this.page.keyboard.press('F1');
    await this.picks.first().waitFor();
    const milliseconds = Date.now() - started;
    await this.quickInput.press('Escape');
    await this.quickInput.waitFor({ state: 'hidden' });
    return milliseconds;
  }

  /** Opens the notification centre where it is closed: the workbench shows no toasts while an extension is developed. */
  async showNotifications(): Promise<void> {
    const centre = this.page.locator('.notifications-center.visible');
    for (const end = Date.now() + actionTimeoutMs; ;) {
      if ((await centre.count()) === 0) await this.page.locator('#status\\.notifications a').first().click();
      const shown = await centre.waitFor({ timeout: 2000 }).then(
        () => true,
        () => false,
      );
      if (shown) break;
      if (Date.now() > end) throw new Error('the notification centre does not open');
    }
    // The tooltip of the bell would lie over the buttons of the last notification.
    await this.page.mouse.move(640, 4);
  }

  /** Closes the notification centre. */
  async hideNotifications(): Promise<void> {
    const centre = this.page.locator('.notifications-center.visible');
    for (const end = Date.now() + actionTimeoutMs; (await centre.count()) > 0;) {
      // The centre also closes with its last notification; a click right after that opens it again.
      if (Date.now() > end) throw new Error('the notification centre does not close');
      await this.page.locator('#status\\.notifications a').first().click();
      await centre.waitFor({ state: 'hidden', timeout: 2000 }).catch(() => undefined);
    }
  }

  /**
   * Waits for a notification, in the notification centre. The workbench closes the centre with its last notification: when the progress of a job ends a moment before
   * its result is announced, the centre is opened again.
   */
  async notified(text: string | RegExp, timeoutMs = 110_000): Promise<Locator> {
    const found = this.notification(text).first();
    for (const end = Date.now() + timeoutMs; ;) {
      await this.showNotifications();
      const shown = await found.waitFor({ timeout: 2000 }).then(
        () => true,
        () => false,
      );
      if (shown) return found;
      if (Date.now() > end) throw new Error(`no notification with ${text}`);
    }
  }

  /** Number of webviews that are in sight. */
  visibleWebviews(): Promise<number> {
    return this.page
      .locator('iframe.webview')
      .evaluateAll((frames) => frames.filter((frame) => getComputedStyle(frame).visibility !== 'hidden').length);
  }

  /**
   * The extension's page inside a webview, found by its <body data-view="...">. The frame that floats over the workbench has
   * neither title nor view type; the page is the #active-frame inside it. Ask again after a hide or a reload: the old one is gone.
   */
  async webview(view: string, timeoutMs = 60_000): Promise<Frame> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const [frame] = await this.webviews(view);
      if (frame) return frame;
      if (Date.now() > end) throw new Error(`no visible webview with data-view="${view}"`);
      await this.page.waitForTimeout(50);
    }
  }

  /** All pages of that view that are in sight, now. */
  async webviews(view: string): Promise<Frame[]> {
    const found: Frame[] = [];
    for (const frame of this.page.frames()) {
      const inWebview = frame.parentFrame()?.url().includes('/webview/browser/pre/index') === true;
      if (inWebview && (await shows(frame, view).catch(() => false))) found.push(frame);
    }
    return found;
  }

  /** Reloads the window by its own command, which saves the workbench's state first; a reload of the page would lose it. */
  async reload(): Promise<void> {
    const navigated = this.page.waitForEvent('framenavigated', (frame) => frame === this.page.mainFrame());
    await this.command('Developer: Reload Window').catch(() => undefined); // the page goes away under it
    await navigated;
    await this.ready();
  }
}

/** True for a page of that view that is loaded and in sight. Asked from outside: inside, `frameElement` can be undefined. */
async function shows(frame: Frame, view: string): Promise<boolean> {
  const ready = await frame.evaluate((name) => document.body?.dataset['view'] === name && document.readyState === 'complete', view);
  if (!ready || (await (await frame.frameElement()).getAttribute('id')) !== 'active-frame') return false;
  const outer = await frame.parentFrame()?.frameElement();
  return outer === undefined ? false : outer.isVisible();
}
