startConvolution();
startNetwork();
readAddress();
startTheme();
addEventListener("hashchange", readAddress);
