startConvolution();
startNetwork();
startFilters();
startFunctions();
startField();
startLive();
readAddress();
startTheme();
addEventListener("hashchange", readAddress);
