startConvolution();
readAddress();
startTheme();
addEventListener("hashchange", readAddress);
