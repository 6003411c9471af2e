create x;
