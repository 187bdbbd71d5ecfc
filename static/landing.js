// Copy buttons. Without this script every command is there to be read and selected.
"use strict";

const said = document.getElementById("said");

for (const command of document.querySelectorAll("[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${command.dataset.copy}`);
  button.addEventListener("click", async () => {
    const done = await copy(command.querySelector("code"));
    button.textContent = done ? "Copied" : "Selected";
    said.textContent = done ? "Copied to the clipboard." : "Selected: copy it with your keyboard.";
    setTimeout(() => {
      button.textContent = "Copy";
      said.textContent = "";
    }, 2000);
  });
  command.append(button);
}

// The clipboard is there for https and localhost only; elsewhere the text is selected and the old way is tried.
async function copy(code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(code);
    return document.execCommand("copy");
  }
}
