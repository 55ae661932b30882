startConvolution();
startNetwork();
startFilters();
startFunctions();
startField();
readAddress();
startTheme();
addEventListener("hashchange", readAddress);
