for (const image of document.querySelectorAll("img")) sharpen(image);
addThemeButton();
