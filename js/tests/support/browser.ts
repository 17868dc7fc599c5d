// What browsers have and happy-dom lacks. Where it lies on the screen no test here can see anyway.
HTMLElement.prototype.showPopover ??= () => undefined
HTMLElement.prototype.hidePopover ??= () => undefined
