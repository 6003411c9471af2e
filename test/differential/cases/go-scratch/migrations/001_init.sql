create table x;
