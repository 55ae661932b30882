for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
for (const image of document.querySelectorAll("img")) sharpen(image);
startConfusion();
startClasses();
startThresholds();
addCopyButtons();
addThemeButton();
