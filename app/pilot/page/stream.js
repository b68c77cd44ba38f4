// The pilot's states as they come, for as long as the page is open: a connection that is lost comes back.

const SILENCE = 15_000;
const LONGEST_PAUSE = 10_000;

/** Calls `onState` with each state, and `onLink` with "live" or "lost" when that changes. */
export function follow(url, onState, onLink) {
  let source = null;
  let watchdog = 0;
  let pause = 1000;

  function open() {
    source = new EventSource(url);
    source.addEventListener("state", (event) => {
      pause = 1000;
      watch();
      onLink("live");
      onState(JSON.parse(event.data));
    });
    source.addEventListener("error", lost);
    watch();
  }

  function watch() {
    clearTimeout(watchdog);
    watchdog = setTimeout(lost, SILENCE);
  }

  function lost() {
    onLink("lost");
    source.close();
    clearTimeout(watchdog);
    watchdog = setTimeout(open, pause);
    pause = Math.min(pause * 1.5, LONGEST_PAUSE);
  }

  open();
}
