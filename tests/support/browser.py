"""Chromium without a window, for tests of pages.

    with Browser() as browser:
        browser.open(url)
        browser.show(PHONE, "dark")
        browser.screenshot(path)

Debian's: `apt-get install chromium chromium-driver`. Nothing is ever downloaded.
"""

from __future__ import annotations

import base64
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support.processes import wait_until

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
INSTALLED = bool(CHROMIUM and DRIVER)
NEEDS_CHROMIUM = pytest.mark.skipif(not INSTALLED, reason="Chromium is not installed")

FLAGS = (
    "--headless=new",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    # It needs rights that root and containers do not have; all pages here are ours.
    "--no-sandbox",
    # Whatever is not on the loopback is nowhere: a page that asks for it says so on the console.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


@dataclass(frozen=True, slots=True)
class Screen:
    """What a page is seen on: `width` and `height` in CSS pixels."""

    name: str
    width: int
    height: int
    mobile: bool = False


DESKTOP = Screen("desktop", 1280, 900)
PHONE = Screen("phone", 390, 844, mobile=True)


class Browser:
    """One window. As a context manager: running inside, gone with all its processes after."""

    def __init__(self) -> None:
        self._driver: Chrome | None = None

    def __enter__(self) -> Self:
        options = ChromeOptions()
        options.binary_location = CHROMIUM or ""
        for flag in FLAGS:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self._driver = Chrome(options=options, service=Service(DRIVER))
        self._driver.set_page_load_timeout(10)
        self._devtools("Emulation.setScrollbarsHidden", hidden=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._driver is not None:
            self._driver.quit()

    @property
    def driver(self) -> Chrome:
        """Selenium's."""
        assert self._driver is not None, "not started"
        return self._driver

    def open(self, url: str) -> None:
        """Go there."""
        self.driver.get(url)

    def show(self, screen: Screen, scheme: str) -> None:
        """As seen on this screen, "light" or "dark"."""
        self._devtools(
            "Emulation.setDeviceMetricsOverride",
            width=screen.width,
            height=screen.height,
            deviceScaleFactor=1,
            mobile=screen.mobile,
        )
        self._devtools(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """A PNG of the whole page, or of what fits on the screen."""
        image = self._devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(image["data"]))

    def complaints(self) -> list[str]:
        """What the page has said on its console since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def one(self, selector: str) -> WebElement:
        """The element that there is. Raises NoSuchElementException."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """What is in it, shown or not; spaces that do not break a line are spaces."""
        script = "return document.querySelector(arguments[0])?.textContent ?? ''"
        return str(self.run(script, selector)).replace("\xa0", " ").strip()

    def run(self, script: str, *arguments: Any) -> Any:
        """A script's value."""
        return self.driver.execute_script(script, *arguments)

    def wait_text(self, selector: str, wanted: str, deadline: float = 10.0) -> str:
        """Until an element has this in its text; the whole text."""
        wait_until(
            lambda: wanted in self.text(selector),
            deadline,
            what=f"{wanted!r} in {selector}",
            pause=0.05,
        )
        return self.text(selector)

    def press(self, selector: str, deadline: float = 10.0) -> None:
        """Click on it as soon as it is there and shown."""

        def shown() -> WebElement | None:
            found = self.driver.find_elements(By.CSS_SELECTOR, selector)
            return next((each for each in found if each.is_displayed()), None)

        wait_until(shown, deadline, what=f"{selector} to press", pause=0.05).click()

    def write(self, selector: str, text: str) -> None:
        """In place of what is in a field."""
        field = self.one(selector)
        field.clear()
        field.send_keys(text)

    def _devtools(self, command: str, **arguments: Any) -> Any:
        return self.driver.execute_cdp_cmd(command, arguments)
