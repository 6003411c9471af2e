FROM busybox:1
COPY . /app
